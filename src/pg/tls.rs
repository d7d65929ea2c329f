//! TLS as libpq's `sslmode` means it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plain text first, TLS when the server insists.
    Allow,
    /// TLS when the server has it; nothing is verified.
    #[default]
    Prefer,
    /// TLS; verified against the root certificate when one is there, as libpq does.
    Require,
    /// TLS, and the certificate is signed by a trusted root.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    /// Reads libpq's spelling; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Certificates and keys, as PEM text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Material {
    /// `sslrootcert`.
    pub roots: Option<Vec<u8>>,
    /// `sslrootcert=system`: the operating system's store.
    pub system_roots: bool,
    /// `sslcert`.
    pub certificate: Option<Vec<u8>>,
    /// `sslkey`.
    pub key: Option<Vec<u8>>,
}

impl std::fmt::Debug for Material {
    /// Says only what is there: keys are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Material {{ roots: {}, certificate: {} }}", self.roots.is_some(), self.certificate.is_some())
    }
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

/// Makes the client's side for a mode.
///
/// # Errors
/// When a mode that verifies has no root certificate, or a certificate or key cannot be read.
pub fn client_config(mode: SslMode, material: &Material) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = Roots::read(material)?;
    let verify = match mode {
        SslMode::VerifyFull => Verify::Name,
        SslMode::VerifyCa => Verify::Chain,
        // libpq: with a root certificate present, require behaves like verify-ca.
        SslMode::Require if !roots.certificates.is_empty() => Verify::Chain,
        _ => Verify::Nothing,
    };
    if verify != Verify::Nothing && roots.store.is_empty() {
        return Err(TlsError(
            "sslmode verify-ca and verify-full need a root certificate: give sslrootcert=FILE, or sslrootcert=system".to_owned(),
        ));
    }
    let verifier = Arc::new(Verifier { verify, roots, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&material.certificate, &material.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).map_err(|error| TlsError(format!("read sslcert: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError(format!("read sslkey: {error}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| TlsError(format!("use sslcert: {error}")))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

/// Trusted roots, both as anchors and as the certificates themselves.
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn read(material: &Material) -> Result<Self, TlsError> {
        let mut listed = Vec::new();
        if let Some(pem) = &material.roots {
            listed = certificates(pem).map_err(|error| TlsError(format!("read sslrootcert: {error}")))?;
            if listed.is_empty() {
                return Err(TlsError("read sslrootcert: no certificate in it".to_owned()));
            }
        }
        if material.system_roots {
            listed.extend(rustls_native_certs::load_native_certs().certs);
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(listed.iter().cloned());
        Ok(Self { store, certificates: listed })
    }
}

/// How much of a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verify {
    Nothing,
    Chain,
    Name,
}

#[derive(Debug)]
struct Verifier {
    verify: Verify,
    roots: Roots,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.verify == Verify::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        // A self-signed server certificate that is itself the trusted root, as many servers have: libpq accepts it.
        let trusted_itself = self.roots.certificates.iter().any(|root| root == end_entity);
        if !trusted_itself {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots.store, intermediates, now, algorithms)?;
        }
        if self.verify == Verify::Name {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // A certificate nobody checks proves nothing by its signature, and one of version 1, which the PostgreSQL manual's
        // recipe makes with older OpenSSL, could not be parsed for it.
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.verify == Verify::Nothing {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
