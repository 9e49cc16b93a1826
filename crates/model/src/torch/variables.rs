//! The variables of a model in libtorch's memory.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::{
    architecture::{Architecture, Depth, Role, Variable},
    error::Error,
    precision::Precision,
};

/// A model's variables by name, in f32 unless they are cast.
#[derive(Debug)]
pub(crate) struct Variables(BTreeMap<String, Tensor>);

impl Variables {
    /// Zero, and norms' gains one.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub(crate) fn new(described: &[Variable], device: Device) -> Result<Self, Error> {
        let variable = |Variable { name, shape, role, .. }: &Variable| {
            let value = if *role == Role::Gain { 1.0 } else { 0.0 };
            let variable = Tensor::f_full(shape, value, (Kind::Float, device))?;
            Ok((name.clone(), variable.set_requires_grad(true)))
        };
        Ok(Self(described.iter().map(variable).collect::<Result<_, Error>>()?))
    }

    /// A handle to one of those that were described.
    pub(crate) fn get(&self, path: &str, what: &str) -> Tensor {
        self.0[&format!("{path}.{what}")].shallow_clone()
    }

    /// Casts those of the layers, once and not in every pass.
    ///
    /// # Errors
    /// If libtorch does not compute in the format.
    pub(crate) fn cast_layers(&self, architecture: &Architecture, precision: Precision) -> Result<(), Error> {
        let Some(kind) = precision.kind() else {
            let what = format!("precision {precision} is for processors: on a GPU, bf16 is the fastest");
            return Err(Error::Unusable(what));
        };
        tch::no_grad(|| {
            for Variable { name, depth, .. } in architecture.variables() {
                if matches!(depth, Depth::Layer(_)) {
                    let variable = &self.0[&name];
                    variable.shallow_clone().set_data(&variable.to_kind(kind));
                }
            }
        });
        Ok(())
    }

    /// Other handles to the same memory.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self(self.by_name())
    }

    /// Handles to all.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Tensor> {
        self.0.iter().map(|(name, variable)| (name.clone(), variable.shallow_clone())).collect()
    }
}
