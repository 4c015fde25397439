//! TLS of our own listener: the certificate is read at start and again when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The certificate in use, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    private_key: PathBuf,
    current: RwLock<(Arc<CertifiedKey>, Option<SystemTime>)>,
}

impl Certificate {
    /// Reads a chain and a private key, both PEM.
    ///
    /// # Errors
    /// A file that can't be read, or a key that does not belong to the certificate.
    pub fn open(chain: &Path, private_key: &Path) -> anyhow::Result<Arc<Self>> {
        let changed = last_change(chain, private_key);
        let current = RwLock::new((read(chain, private_key)?, changed));
        Ok(Arc::new(Self { chain: chain.to_owned(), private_key: private_key.to_owned(), current }))
    }

    /// Reads the files again if they changed. What can't be read is reported, and the old certificate stays.
    pub fn refresh(&self) {
        let changed = last_change(&self.chain, &self.private_key);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).1 == changed {
            return;
        }
        match read(&self.chain, &self.private_key) {
            Ok(key) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = (key, changed);
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => tracing::warn!(%error, "the new TLS certificate can not be used; the old one stays"),
        }
    }

    /// The settings of a listener: TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// The library refuses its own defaults.
    pub fn server_config(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

fn read(chain: &Path, private_key: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("tls.certificate: can't read {}", chain.display()))?;
    let key = PrivateKeyDer::from_pem_file(private_key)
        .with_context(|| format!("tls.private_key: can't read {}", private_key.display()))?;
    let key = CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .context("tls.certificate and tls.private_key do not belong together")?;
    Ok(Arc::new(key))
}

fn last_change(chain: &Path, private_key: &Path) -> Option<SystemTime> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    changed(chain).max(changed(private_key))
}
