//! Who a connection says that it is: from its first byte to its CONNECT.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use rustls::CertificateError;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::codec;
use super::context::FrontContext;
use super::framing::{self, Cut};
use super::packet::{Connect, Packet, Version};
use super::reason::Reason;
use super::reply;
use super::wire::{Stream, Wire};
use base::identity::{Identity, IdentityError, plain_name, shown_name};
use base::tls::take_refused_name;

/// Enough of a CONNECT to tell its version.
const CONNECT_HEAD_BYTES: usize = 16;

/// How a connection proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// By its certificate.
    Certificate,
    /// Not at all: its client id is believed.
    None,
}

/// A connection that has sent its CONNECT.
pub(super) struct Caller {
    pub(super) address: IpAddr,
    pub(super) wire: Wire,
    pub(super) version: Version,
    pub(super) connect: Box<Connect>,
    /// By its certificate; or why it names nobody of this site.
    pub(super) identity: Option<Result<Identity, &'static str>>,
    /// As it calls itself, by its certificate or its CONNECT.
    pub(super) name: Option<String>,
    /// Under which its certificate was judged.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
}

impl Caller {
    /// Largest packet that it takes, in bytes.
    pub(super) fn packet_bytes_max(&self) -> usize {
        usize::try_from(self.connect.packet_bytes_max).unwrap_or(usize::MAX)
    }
}

/// Hears a connection up to its CONNECT. What does not get so far is on the record as refused.
pub(super) async fn listen(
    context: &Arc<FrontContext>,
    socket: TcpStream,
    address: IpAddr,
    proof: Proof,
    deadline: Instant,
) -> Option<Caller> {
    let (stream, identity, mut name, tls) = match proof {
        Proof::None => (Stream::Plain(socket), None, None, None),
        Proof::Certificate => {
            let tls = context.tls.load_full();
            let stream = match timeout_at(deadline, handshake(Arc::clone(&tls), socket)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err((error, socket, name))) => {
                    context.refuse_handshake(address, name, tls_failure(&error));
                    // The alert says what is wrong with a certificate: a reset must not overtake it.
                    Box::pin(Wire::new(Stream::Plain(socket), context.config.write_timeout()).close()).await;
                    return None;
                }
                Err(_) => {
                    context.refuse_handshake(address, None, "timeout");
                    return None;
                }
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let identity = certificate.map_or(Err("certificate"), |certificate| {
                Identity::of(&context.site, certificate).map_err(|error| nobody(&error))
            });
            let name = match &identity {
                Ok(identity) => Some(identity.role.to_string()),
                Err(_) => certificate.and_then(shown_name),
            };
            (Stream::Tls(Box::new(stream)), Some(identity), name, Some(tls))
        }
    };
    let mut wire = Wire::new(stream, context.config.write_timeout());
    match timeout_at(deadline, first_packet(context, &mut wire)).await {
        Ok(Ok((version, connect))) => {
            let client_id = || format!("client id {}", plain_name(&connect.client_id));
            let is_own = matches!(&identity, Some(Ok(own)) if own.role.client_id() == Some(&*connect.client_id));
            if !is_own && !connect.client_id.is_empty() {
                name = Some(name.map_or_else(client_id, |name| format!("{name}, {}", client_id())));
            }
            Some(Caller { address, wire, version, connect, identity, name, tls })
        }
        Ok(Err(counted_as)) => {
            context.refuse_connection(address, name, counted_as);
            Box::pin(wire.close()).await;
            None
        }
        Err(_) => {
            context.refuse_connection(address, name, "connect_timeout");
            None
        }
    }
}

/// Makes the TLS handshake; where that fails, with the name in the certificate that was refused.
async fn handshake(
    tls: Arc<rustls::ServerConfig>,
    socket: TcpStream,
) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream, Option<String>)> {
    let mut accepting = pin!(TlsAcceptor::from(tls).accept(socket).into_fallible());
    let mut refused = None;
    let made = poll_fn(|cx| {
        let polled = accepting.as_mut().poll(cx);
        // A certificate is checked within this call, on this thread.
        refused = take_refused_name().or(refused.take());
        polled
    });
    made.await.map_err(|(error, socket)| (error, socket, refused))
}

/// Why a certificate of the site's authority names nobody.
fn nobody(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::TwoNames => "two_names",
        IdentityError::OtherSite { .. } => "other_site",
        _ => "certificate",
    }
}

/// Reads CONNECT, or says what came instead. What is to be answered to that is in the wire already.
async fn first_packet(context: &Arc<FrontContext>, wire: &mut Wire) -> Result<(Version, Box<Connect>), &'static str> {
    let frame = loop {
        match framing::peek(&wire.input, context.config.packet_bytes_max) {
            Ok(Cut::Whole(frame)) => break frame,
            Ok(Cut::TooLarge(frame)) => match codec::version(&wire.input, frame) {
                Some(version) => {
                    reply::refusal(&mut wire.out, version.unwrap_or_else(|version| version), Reason::PACKET_TOO_LARGE);
                    return Err("packet_too_large");
                }
                None if wire.input.len() > CONNECT_HEAD_BYTES => return Err("not_mqtt"),
                None => {}
            },
            Ok(Cut::Part) => {}
            Err(_) => return Err("not_mqtt"),
        }
        if matches!(wire.read().await, Ok(0) | Err(_)) {
            return Err("no_connect");
        }
    };
    let version = match codec::version(&wire.input, frame) {
        Some(Ok(version)) => version,
        Some(Err(version)) => {
            reply::refusal(&mut wire.out, version, Reason::UNSUPPORTED_VERSION);
            return Err("protocol_version");
        }
        None => return Err("no_connect"),
    };
    let packet = frame.take(&mut wire.input).freeze();
    match codec::decode(version, frame, &packet) {
        Ok(Packet::Connect(connect)) => Ok((version, connect)),
        Ok(_) => Err("no_connect"),
        Err(reason) => {
            context.metrics.packets_malformed.inc();
            reply::refusal(&mut wire.out, version, reason);
            Err("malformed")
        }
    }
}

fn tls_failure(error: &io::Error) -> &'static str {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::NoCertificatesPresented) => "no_certificate",
        Some(Tls::NoApplicationProtocol) => "alpn",
        Some(Tls::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            // The reader's certificate or one of the two clocks is wrong.
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
            CertificateError::Revoked => "revoked",
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. } => "unknown_ca",
            _ => "bad_certificate",
        },
        _ => "other",
    }
}
