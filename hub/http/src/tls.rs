//! TLS of the server: certificate and key from PEM files, replaced while running.

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a certificate or key cannot be used. Names the file, never the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or holds no such PEM section.
    #[error("{0} holds no usable PEM section: {1}")]
    File(PathBuf, String),
    /// Certificate and key do not go together, or are of a kind that is not taken.
    #[error("this certificate and key cannot be used: {0}")]
    Pair(String),
}

/// Certificate and key of the server; clones share what is in use, so that a reload reaches all of them.
#[derive(Debug, Clone)]
pub struct ServerTls {
    certificate: Arc<Path>,
    key: Arc<Path>,
    current: Arc<ArcSwap<rustls::ServerConfig>>,
}

impl ServerTls {
    /// Reads a certificate chain and its private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// [`TlsError`] when a file cannot be read or the two do not go together.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (certificate, key): (Arc<Path>, Arc<Path>) = (Arc::from(certificate.as_ref()), Arc::from(key.as_ref()));
        let config = load(&certificate, &key)?;
        Ok(Self { certificate, key, current: Arc::new(ArcSwap::from_pointee(config)) })
    }
    /// Reads both files again; new connections use what they now hold, open ones go on.
    ///
    /// # Errors
    /// [`TlsError`]; what was in use stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(load(&self.certificate, &self.key)?));
        Ok(())
    }
    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(self.current.load_full())
    }
}

fn load(certificate: &Path, key: &Path) -> Result<rustls::ServerConfig, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|e| TlsError::File(certificate.to_owned(), e.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::File(certificate.to_owned(), "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::File(key.to_owned(), e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| TlsError::Pair(e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
