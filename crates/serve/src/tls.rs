//! TLS from a certificate chain and a private key, both PEM.

use std::path::{Path, PathBuf};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file does not hold what it should.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// The two files do not go together.
    #[error("{} and {}: {cause}", certificate.display(), key.display())]
    Pair {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of its key.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// A server's configuration of TLS 1.2 and 1.3.
pub(crate) fn configuration(certificate: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let failed = |path: &Path, expected: &str| {
        let (path, expected) = (path.to_owned(), expected.to_owned());
        move |error: pem::Error| Error::File {
            path,
            what: match error {
                pem::Error::Io(error) => error.to_string(),
                pem::Error::NoItemsFound => format!("expected {expected}"),
                error => format!("expected {expected}: {error:?}"),
            },
        }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(certificate, "certificates in PEM"))?;
    if chain.is_empty() {
        return Err(failed(certificate, "certificates in PEM")(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key, "a private key in PEM"))?;
    let pair = |cause| Error::Pair { certificate: certificate.to_owned(), key: key.to_owned(), cause };
    ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)
}
