//! A server's life: the model is loaded, requests are answered, a signal ends it gracefully.

use std::{
    net::{SocketAddr, TcpListener},
    pin::pin,
    time::{Duration, Instant},
};

use actix_web::{HttpServer, dev::Server, http::KeepAlive, rt, web};
use rustix::{
    net::sockopt::set_tcp_user_timeout,
    process::{Resource, getrlimit, setrlimit},
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::emulate_default_handler,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{app::app, failure::Error, loading, settings::Settings, state::State, tls};

const BACKLOG: i32 = 4096; // connections that wait to be accepted

/// Serves until a signal comes; then finishes the work in hand within the grace time.
pub fn run(settings: &Settings) -> Result<(), Error> {
    raise_file_limit();
    let tls = settings.tls.as_ref().map(|(certificate, key)| tls::configuration(certificate, key)).transpose()?;
    let listener = listen(settings.listen, settings.timeouts.write)?; // before the weights are read: a port in use is told at once
    let state = web::Data::new(loading::state(settings)?);
    let address = listener.local_addr()?;
    rt::System::new().block_on(async {
        let timeouts = settings.timeouts;
        let shared = state.clone();
        let server = HttpServer::new(move || app(shared.clone()))
            .workers(settings.workers)
            .max_connections(settings.max_connections.div_ceil(settings.workers))
            .client_request_timeout(timeouts.header)
            .keep_alive(KeepAlive::Timeout(timeouts.keep_alive))
            .h1_allow_half_closed(false) // so that a client's end is noticed while its request is in work
            .shutdown_timeout(1)
            .disable_signals();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls)?,
            None => server.listen(listener)?,
        };
        let server = server.run();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tracing::info!("listening on {scheme}://{address}");
        if settings.keys.is_empty() && !address.ip().to_canonical().is_loopback() {
            tracing::warn!("no API key is needed: everybody who reaches {address} is let in (--allow-anonymous)");
        }
        let handle = server.handle();
        let end_of_engine = state.clone();
        let served = server_until_engine_ends(server, end_of_engine);
        rt::spawn(async move {
            let ended_by = tokio::select! { _ = terminate.recv() => SIGTERM, _ = interrupt.recv() => SIGINT };
            // Whoever asks twice does not want to wait.
            rt::spawn(async move {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                let _ = emulate_default_handler(ended_by);
            });
            state.drain();
            tracing::info!(in_hand = state.in_hand(), "shutting down");
            let end = Instant::now() + timeouts.grace;
            while state.in_hand() > 0 && Instant::now() < end {
                rt::time::sleep(Duration::from_millis(20)).await;
            }
            if state.in_hand() > 0 {
                tracing::warn!(in_hand = state.in_hand(), "the grace time is over");
            }
            state.engine.stop();
            handle.stop(true).await;
        });
        served.await?;
        tracing::info!("good-bye");
        Ok(())
    })
}

/// How often it is looked whether the engine still runs.
const ENGINE_CHECK: Duration = Duration::from_millis(100);

/// For how long requests that an engine left behind get their answer, which is an error.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves until the server ends; fails where its engine ends before, for an orchestrator to start both anew.
pub(crate) async fn server_until_engine_ends(server: Server, state: web::Data<State>) -> Result<(), Error> {
    let handle = server.handle();
    let ended = async {
        while state.engine.is_running() || state.is_draining() {
            rt::time::sleep(ENGINE_CHECK).await;
        }
    };
    let mut server = pin!(server);
    tokio::select! {
        end = &mut server => return Ok(end?),
        () = ended => {}
    }
    tracing::error!("the engine has stopped, and so does the server");
    rt::time::sleep(LAST_WORDS).await;
    rt::spawn(handle.stop(false));
    let _ = rt::time::timeout(LAST_WORDS, server).await;
    Err(Error::EngineEnded)
}

fn listen(address: SocketAddr, write_timeout: Duration) -> Result<TcpListener, Error> {
    let failed = |error| Error::Listen(address, error);
    let listener = TcpListener::bind(address).map_err(failed)?;
    // Once more, with room for a burst.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
    // Inherited by every connection: the system closes one whose client takes nothing of what waits for it for so long.
    let timeout = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&listener, timeout).map_err(|error| failed(error.into()))?;
    Ok(listener)
}

/// A connection is a file, and the usual limit of 1,024 is meant for programs that hold few.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
