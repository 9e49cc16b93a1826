//! Why a server did not start, or ended.

use std::{io, net::SocketAddr};

use model::BUNDLED_MODEL;

use crate::{engine::StartError, tls};

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The default model is not there.
    #[error(
        "{BUNDLED_MODEL}: no such directory: it comes with the project, so run from its root, or name a model by --model"
    )]
    NoModel,
    /// The model does not load.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] StartError<model::Error>),
    /// The corpus cannot be searched.
    #[error("{0:#}")]
    Corpus(anyhow::Error),
    /// The address is not to be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Certificate or key do not serve.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The engine ended while requests were answered; the log says why.
    #[error("the engine has stopped")]
    EngineEnded,
    /// The system refuses something.
    #[error(transparent)]
    Io(#[from] io::Error),
}
