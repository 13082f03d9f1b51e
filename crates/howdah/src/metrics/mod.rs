//! Who may ask for the metrics, and how are they answered?
//!
//! `GET` and `HEAD` of `/metrics` on the addresses of `metrics_addr`, on a thread of its own: it asks the control plane
//! for a snapshot as the console does, and what happens here holds nobody up. Whoever asks is a stranger: a connection
//! is for one request and has a limited time, only so many are open at once, and HTTP is read by `hyper`, which bounds
//! how long a head may be. When Howdah lets nobody in any more, these doors close too, so that the next one can open
//! them.

mod process;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use howdah_console::metrics::{CONTENT_TYPE, render};
use howdah_core::control::{Outcome, Request as Question};
use howdah_core::settings::Listen;
use howdah_engine::{Control, ListenError, listen_tcp};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE as MEDIA_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Doors that are open but not yet watched.
pub(crate) struct MetricsDoors(Vec<std::net::TcpListener>);

impl MetricsDoors {
    /// Opens what the settings ask for, which may be nothing.
    ///
    /// # Errors
    /// A door cannot be opened.
    pub(crate) fn open(listen: &Listen) -> Result<MetricsDoors, ListenError> {
        let mut doors = Vec::new();
        if listen.metrics_port != 0 {
            for host in &listen.metrics_addresses {
                // Never shared with another process: each look would see the one or the other.
                doors.extend(listen_tcp(host, listen.metrics_port, listen.backlog, false)?);
            }
        }
        Ok(MetricsDoors(doors))
    }

    /// Where they are.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter_map(|door| door.local_addr().ok())
    }

    /// Answers until Howdah stops; without a door there is nothing to do.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn serve(self, control: Control) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let scene = Scene { control, started: SystemTime::now() };
        // Nobody waits for its end: it is over when Howdah is.
        std::thread::Builder::new().name("metrics".to_owned()).spawn(move || run(self.0, scene))?;
        Ok(())
    }
}

/// What an answer is made from.
#[derive(Clone)]
struct Scene {
    control: Control,
    started: SystemTime,
}

fn run(doors: Vec<std::net::TcpListener>, scene: Scene) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(watch(doors, scene)),
        Err(error) => tracing::error!(%error, "cannot make a runtime for the metrics"),
    }
}

async fn watch(doors: Vec<std::net::TcpListener>, mut scene: Scene) {
    let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let mut watches = JoinSet::new();
    for door in doors {
        match TcpListener::from_std(door) {
            Ok(door) => drop(watches.spawn_local(let_in(door, scene.clone(), Arc::clone(&places)))),
            Err(error) => tracing::error!(%error, "cannot watch a door for metrics"),
        }
    }
    scene.control.closing().await;
    watches.shutdown().await;
    // Who has got in is answered.
    let _ = places.acquire_many(MOST_AT_ONCE as u32).await;
}

/// Whoever comes waits for a place; meanwhile the kernel keeps the others.
async fn let_in(door: TcpListener, scene: Scene, places: Arc<Semaphore>) {
    loop {
        match door.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let scene = scene.clone();
                tokio::task::spawn_local(async move {
                    serve(stream, &scene).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// One connection, one request.
async fn serve(stream: TcpStream, scene: &Scene) {
    let conversation = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service_fn(|request| answer(request, scene)));
    // Whatever was wrong, whoever asked has been told or has gone.
    match tokio::time::timeout(TIME_LIMIT, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics failed"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

async fn answer(request: Request<Incoming>, scene: &Scene) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => match scene.control.run(Question::Snapshot).await {
            Outcome::Snapshot(snapshot) => {
                reply(StatusCode::OK, CONTENT_TYPE, render(&snapshot, &process::look(scene.started)))
            }
            _ => plain(StatusCode::SERVICE_UNAVAILABLE, "Howdah is stopping.\n"),
        },
        ("/metrics", _) => {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        _ => plain(StatusCode::NOT_FOUND, "There is /metrics, and nothing else.\n"),
    })
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", text.to_owned())
}

fn reply(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(MEDIA_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Connections that are answered at once.
const MOST_AT_ONCE: usize = 32;
/// From the place to the last byte of the answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// A request's head may be as long.
const LONGEST_HEAD: usize = 16 * 1024;
/// Pause after a failed accept.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
