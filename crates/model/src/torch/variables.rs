//! The variables of a model in libtorch's memory.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::{
    architecture::{Role, Variable},
    error::Error,
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

    /// Handles to all.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Tensor> {
        self.0.iter().map(|(name, variable)| (name.clone(), variable.shallow_clone())).collect()
    }
}
