//! A server's life: the model is loaded, requests are answered, a signal ends it gracefully.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use actix_web::{HttpServer, http::KeepAlive, rt, web};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::{app::app, failure::Error, loading, settings::Settings, tls};

const BACKLOG: i32 = 4096; // connections that wait to be accepted

/// Serves until a signal comes; then finishes the work in hand within the grace time.
pub fn run(settings: &Settings) -> Result<(), Error> {
    raise_file_limit();
    let tls = settings.tls.as_ref().map(|(certificate, key)| tls::configuration(certificate, key)).transpose()?;
    let listener = listen(settings.listen)?; // before the weights are read: a port in use is told at once
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
        let handle = server.handle();
        rt::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            state.drain();
            tracing::info!(in_hand = state.in_hand(), "shutting down");
            let end = Instant::now() + timeouts.grace;
            while state.in_hand() > 0 && Instant::now() < end {
                rt::time::sleep(Duration::from_millis(20)).await;
            }
            if state.in_hand() > 0 {
                tracing::warn!(in_hand = state.in_hand(), "the grace time is over");
            }
            state.embedder.engine().stop();
            handle.stop(true).await;
        });
        server.await?;
        tracing::info!("good-bye");
        Ok(())
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |error| Error::Listen(address, error);
    let listener = TcpListener::bind(address).map_err(failed)?;
    // Once more, with room for a burst.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
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
