//! Client certificates that the site's authority has issued itself; who was refused one is known by name.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::identity::shown_name;

thread_local! {
    /// A handshake's checks run where its bytes are read, on that thread: whoever polls a handshake finds here what was shown.
    static REFUSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What [`only_directly_issued`] makes.
#[derive(Debug)]
struct DirectlyIssued(Arc<dyn ClientCertVerifier>);

/// The same checks, of the client's certificate alone: what it sends along cannot lead from another authority to the site's.
pub fn only_directly_issued(verifier: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    Arc::new(DirectlyIssued(verifier))
}

/// The name in the certificate that was refused on this thread since it was last asked, if one was.
pub fn take_refused_name() -> Option<String> {
    REFUSED.take()
}

impl ClientCertVerifier for DirectlyIssued {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, &[], now);
        if verified.is_err() {
            REFUSED.set(shown_name(end_entity));
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
