//! Correlations, p-values, F1, errors and intervals against scipy, scikit-learn and mpmath.
//!
//! `fixtures/metrics.json` is written by `scripts/reference/make_fixtures.py metrics`.
#![allow(clippy::unwrap_used)] // A test may panic.

use eval::metrics::{Correlation, MetricError, PValue, Statistic, bootstrap_ci95, f1, mse, pearson, spearman};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    threshold: f64,
    cases: Vec<Case>,
    resamples: usize,
    intervals: Vec<Intervals>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    labels: Vec<f64>,
    #[serde(default)]
    predictions: Vec<f64>,
    generate: Option<Generate>,
    pearson: Expected,
    spearman: Expected,
    f1: f64,
    mse: f64,
}

#[derive(Deserialize)]
struct Expected {
    r: f64,
    p_value: f64,
    log10_p: Option<f64>, // none where p is 0
}

#[derive(Deserialize)]
struct Intervals {
    case: String,
    pearson: [f64; 2],
    spearman: [f64; 2],
}

#[derive(Deserialize)]
struct Generate {
    seed: u64,
    n: usize,
    signal: f64,
    noise: f64,
    shift: f64,
    levels: f64,
}

impl Generate {
    /// `generate` of `scripts/reference/metrics.py`, to the last bit.
    fn pairs(&self) -> (Vec<f64>, Vec<f64>) {
        let mut state = self.seed;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..self.n)
            .map(|_| {
                let label = (uniform() * 51.0).floor() / 10.0;
                let prediction = self.signal * label + self.noise * (uniform() + uniform() - 1.0) + self.shift;
                let coarse = (prediction * self.levels).floor() / self.levels;
                (label, if self.levels > 0.0 { coarse } else { prediction })
            })
            .unzip()
    }
}

impl Case {
    fn pairs(&self) -> (Vec<f64>, Vec<f64>) {
        self.generate.as_ref().map_or_else(|| (self.labels.clone(), self.predictions.clone()), Generate::pairs)
    }
}

fn fixture() -> Fixture {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Within `tolerance` of `expected`, relative; absolute around 0.
#[track_caller]
fn assert_close(got: f64, expected: f64, tolerance: f64, what: &str) {
    let allowed = if expected == 0.0 { tolerance } else { tolerance * expected.abs() };
    assert!((got - expected).abs() <= allowed, "{what}: got {got:e}, expected {expected:e}");
}

#[track_caller]
fn assert_correlation(got: Correlation, expected: &Expected, what: &str) {
    assert_close(got.r, expected.r, 1e-9, what);
    match expected.log10_p {
        None => assert_eq!(got.p_value, PValue::ZERO, "{what}"),
        // A difference of 4e-7 in log10 is 1e-6 in p.
        Some(log10) => {
            let difference = got.p_value.ln() / std::f64::consts::LN_10 - log10;
            assert!(difference.abs() <= 4e-7, "{what}: p is {}, off by {difference:e} decades", got.p_value);
        }
    }
    if expected.p_value > 1e-300 {
        assert_close(got.p_value.value(), expected.p_value, 1e-6, what);
    }
}

#[test]
fn correlations_and_their_p_values_are_scipys() {
    // scipy.stats.pearsonr(labels, predictions); scipy.stats.spearmanr(labels, predictions)
    for case in fixture().cases {
        let (labels, predictions) = case.pairs();
        assert_correlation(pearson(&labels, &predictions).unwrap(), &case.pearson, &format!("{}, Pearson", case.name));
        assert_correlation(
            spearman(&labels, &predictions).unwrap(),
            &case.spearman,
            &format!("{}, Spearman", case.name),
        );
    }
}

#[test]
fn f1_and_mse_are_scikit_learns() {
    // f1_score(labels >= 3, predictions >= 3, zero_division=0); mean_squared_error(labels, predictions)
    let fixture = fixture();
    for case in fixture.cases {
        let (labels, predictions) = case.pairs();
        assert_close(f1(&labels, &predictions, fixture.threshold), case.f1, 1e-9, &case.name);
        assert_close(mse(&labels, &predictions), case.mse, 1e-9, &case.name);
    }
}

#[test]
fn a_score_at_the_threshold_counts_as_similar() {
    // f1_score([True, True, False], [True, False, False]) = 2/3
    assert_close(f1(&[3.0, 3.0, 2.9], &[3.0, 2.9, 2.9], 3.0), 2.0 / 3.0, 1e-12, "F1");
}

#[test]
fn ties_share_their_average_rank() {
    // spearmanr([1, 2, 2, 3], [1, 2, 3, 4]).statistic = pearsonr([1, 2.5, 2.5, 4], [1, 2, 3, 4]).statistic
    let tied = spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_close(tied.r, 0.9486832980505138, 1e-12, "rho");
    let zeros = spearman(&[0.0, -0.0, 1.0, 2.0], &[1.0, 1.0, 2.0, 3.0]).unwrap();
    assert_eq!(zeros.r, 1.0, "0 and -0 are a tie");
}

#[test]
fn a_perfect_correlation_alone_has_a_p_value_of_zero() {
    let labels: Vec<f64> = (0..50).map(|i| f64::from(i) / 10.0).collect();
    let line: Vec<f64> = labels.iter().map(|label| 1.0 - 0.3 * label).collect();
    let perfect = pearson(&labels, &line).unwrap();
    assert_eq!((perfect.r, perfect.p_value, perfect.p_value.value()), (-1.0, PValue::ZERO, 0.0));

    let mut bent = line.clone();
    bent[7] += 1e-6;
    let imperfect = pearson(&labels, &bent).unwrap().p_value;
    assert!(imperfect > PValue::ZERO && imperfect.ln().is_finite(), "{imperfect}");
}

#[test]
fn tiny_and_shifted_differences_keep_their_correlation() {
    // mpmath: r([1, 1 + e, 1, 1 + 2e], [0, 1, 0, 2]) = 1 with e the smallest step above 1; likewise the others
    for (base, step) in [(1.0, f64::EPSILON), (0.0, 1e-200), (0.0, 1e200), (1e9, 0.25)] {
        let x = [0.0, 1.0, 0.0, 2.0].map(|steps| base + steps * step);
        let r = pearson(&x, &[0.0, 1.0, 0.0, 2.0]).unwrap().r;
        assert_close(r, 1.0, 1e-12, &format!("{base:e} in steps of {step:e}"));
    }
}

#[test]
fn p_values_print_as_scientific_papers_write_them() {
    // mpmath.betainc((pairs - 2) / 2, 0.5, 0, 1 - mpf(r)**2, regularized=True); the first is KorSTS test
    for (r, pairs, printed) in [
        (0.7763, 1379, "3.0e-278"),
        (0.0, 10, "1.000"),
        (0.5, 20, "0.025"),
        (0.9, 20, "6.6e-8"),
        (0.9999, 2000, "9.1e-3698"),
        (1.0, 20, "0"),
    ] {
        assert_eq!(PValue::of_correlation(r, pairs).to_string(), printed, "r = {r}, n = {pairs}");
    }
    assert_eq!(format!("{:>10}", PValue::of_correlation(0.7763, 1379)), "  3.0e-278");
}

#[test]
fn p_values_are_json_numbers_with_all_their_digits() {
    let json = |r, pairs| serde_json::to_string(&PValue::of_correlation(r, pairs)).unwrap();
    assert_eq!(json(1.0, 20), "0.0");
    let common: f64 = json(0.5, 20).parse().unwrap();
    assert_close(common, 0.02476955880411, 1e-6, "p"); // mpmath, as above
    let beyond = json(0.9999, 2000);
    let (mantissa, exponent) = beyond.split_once('e').unwrap();
    assert_eq!(exponent, "-3698");
    assert_close(mantissa.parse().unwrap(), 9.09711077616, 1e-6, "mantissa");
}

#[test]
fn what_has_no_correlation_says_why() {
    let refused = |x: &[f64], y: &[f64]| (pearson(x, y).unwrap_err(), spearman(x, y).unwrap_err());
    let cases: [(&[f64], &[f64], MetricError); 5] = [
        (&[1.0, 2.0, 3.0], &[1.0, 2.0], MetricError::Lengths(3, 2)),
        (&[1.0, 2.0], &[1.0, 2.0], MetricError::TooFew(2)),
        (&[], &[], MetricError::TooFew(0)),
        (&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0], MetricError::Constant(0.1)),
        (&[1.0, 2.0, 3.0], &[1.0, f64::INFINITY, 3.0], MetricError::NotFinite { index: 1, value: f64::INFINITY }),
    ];
    for (x, y, error) in cases {
        assert_eq!(refused(x, y), (error, error));
    }
    let nan = pearson(&[1.0, 2.0, f64::NAN], &[1.0, 2.0, 3.0]).unwrap_err();
    assert_eq!(nan.to_string(), "pair 2 (counted from 0) holds NaN: expected finite numbers");
}

#[test]
fn bootstrap_intervals_are_scipys() {
    // scipy.stats.bootstrap((labels, predictions), …, paired=True, method="percentile", n_resamples=9_999)
    let fixture = fixture();
    // Two standard deviations of what separates two such bootstraps. With thirty pairs, ranks kept from the whole
    // instead of the resample would move a bound by 0.04.
    for (expected, tolerance) in fixture.intervals.iter().zip([7e-4, 1e-2]) {
        let case = fixture.cases.iter().find(|case| case.name == expected.case).unwrap();
        let (labels, predictions) = case.pairs();
        for (statistic, expected) in [(Statistic::Pearson, expected.pearson), (Statistic::Spearman, expected.spearman)]
        {
            let interval = bootstrap_ci95(&labels, &predictions, statistic, fixture.resamples, 42).unwrap();
            let near = interval.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < tolerance);
            assert!(near, "{}, {statistic:?}: got {interval:?}, expected {expected:?}", case.name);
        }
    }
    assert_eq!(fixture.intervals.len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_interval() {
    let x: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 101)).collect();
    let y: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 101 + i * 53 % 97)).collect();
    let interval = |seed| bootstrap_ci95(&x, &y, Statistic::Spearman, 200, seed).unwrap();
    assert_eq!(interval(1), interval(1));
    assert_ne!(interval(1), interval(2));
}

#[test]
fn resamples_without_variance_are_drawn_again() {
    // Half of the resamples of these three pairs miss a row that differs.
    for statistic in [Statistic::Pearson, Statistic::Spearman] {
        let [low, high] = bootstrap_ci95(&[0.0, 0.0, 1.0], &[1.0, 0.0, 0.0], statistic, 500, 7).unwrap();
        assert!((-1.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{low} to {high}");
    }
}

#[test]
fn a_prediction_that_is_no_number_says_no() {
    // sklearn.metrics.f1_score([1, 1], numpy.array([numpy.nan, 4]) >= 3) == 2/3
    assert_eq!(f1(&[3.0, 3.0], &[f64::NAN, 4.0], 3.0), 2.0 / 3.0);
}
