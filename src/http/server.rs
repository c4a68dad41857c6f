//! Connections: taken in up to a number, served with limits, and ended in time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use super::gate::Peer;
use super::stats::HttpStats;
use super::tls::{TlsError, server_config};
use crate::config::Http;

/// A connection has so long to finish its handshake, and a request its headers; an idle connection is closed then.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// A peer that takes nothing for so long is gone.
const STALL_MS: u32 = 30_000;
/// When nobody can be taken in (no file descriptors), it is tried again after so long.
const PAUSE: Duration = Duration::from_millis(200);
/// Threads that answer; what takes long is not done on them.
const THREADS: usize = 2;
/// Threads for what waits for a disk or the camera; more wait for one of them.
const WAITING_THREADS: usize = 16;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is no address.
    #[error("`http.listen` is no address and port")]
    NoAddress,
    /// It cannot be listened at.
    #[error("cannot listen for HTTP at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no threads.
    #[error("the HTTP server cannot be started: {0}")]
    Threads(io::Error),
}

/// The server at work. Dropping it hangs up on everybody.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<crossbeam_channel::Receiver<()>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Listens, and answers by `router` from now on. Each thread that answers does `at_start` first.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn open(
        settings: &Http,
        router: Router,
        stats: Arc<HttpStats>,
        at_start: fn(),
    ) -> Result<Self, HttpError> {
        let address = settings.address().ok_or(HttpError::NoAddress)?;
        let tls = settings.tls.as_ref().map(server_config).transpose()?.map(TlsAcceptor::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(WAITING_THREADS)
            .thread_name("http")
            .on_thread_start(at_start)
            .enable_io()
            .enable_time()
            .build()
            .map_err(HttpError::Threads)?;
        let listen = |source| HttpError::Listen { address, source };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = crossbeam_channel::bounded(0);
        let most = usize::try_from(settings.max_connections).unwrap_or(Semaphore::MAX_PERMITS);
        let reception = Reception { listener, tls, router, stats, places: Arc::new(Semaphore::new(most)) };
        runtime.spawn(async move {
            // Dropped at the end, also by a panic.
            let _ending: crossbeam_channel::Sender<()> = ending;
            reception.take_in(stopped).await;
        });
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        tracing::info!("HTTP is answered at {scheme}://{address}");
        Ok(Self { address, stop: Some(stop), ended: Some(ended), runtime: Some(runtime) })
    }

    /// Where it listens, with the port that the system gave where none was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes nobody in any more, lets answers that have begun end, and hangs up then. False if something was still being
    /// answered after that time.
    #[must_use]
    pub fn close(mut self, within: Duration) -> bool {
        drop(self.stop.take());
        let in_time = self.ended.take().is_none_or(|ended| {
            ended.recv_timeout(within) == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        });
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(within / 4);
        }
        in_time
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Reception {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    stats: Arc<HttpStats>,
    places: Arc<Semaphore>,
}

impl Reception {
    async fn take_in(self, mut stopped: oneshot::Receiver<()>) {
        let graceful = GracefulShutdown::new();
        loop {
            let taken = tokio::select! {
                biased;
                _ = &mut stopped => break,
                taken = self.listener.accept() => taken,
            };
            let (stream, peer) = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!("nobody can be taken in over HTTP: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.stats.refuse();
                continue;
            };
            let guest = Guest {
                peer: Peer(peer),
                tls: self.tls.clone(),
                router: self.router.clone(),
                stats: Arc::clone(&self.stats),
                watcher: graceful.watcher(),
                _place: place,
            };
            tokio::spawn(guest.serve(stream));
        }
        graceful.shutdown().await;
    }
}

struct Guest {
    peer: Peer,
    tls: Option<TlsAcceptor>,
    router: Router,
    stats: Arc<HttpStats>,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    async fn serve(self, stream: TcpStream) {
        self.stats.opened();
        // Neither changes what is answered, only how soon.
        let _or_slower = stream.set_nodelay(true);
        let _or_later = rustix::net::sockopt::set_tcp_user_timeout(&stream, STALL_MS);
        let stats = Arc::clone(&self.stats);
        match self.tls.clone() {
            None => self.converse(stream).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)).await {
                    self.converse(stream).await;
                }
            }
        }
        stats.closed();
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let peer = self.peer;
        let router = self.router.layer(axum::Extension(peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        // What ends a conversation early is the other side's doing.
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!("a connection ended early: {error}");
        }
    }
}
