//! The application: every route, and what is around them.

use std::future::ready;

use actix_web::{
    App, Error, HttpRequest, Resource,
    body::{BoxBody, EitherBody},
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    error::ApiError,
    middleware::{access, cors, deadline, observe},
    openapi,
    routes::{embed, health, info, metrics, openai, page, predict, rank, rerank, root, search, similarity},
    state::State,
};

/// The application on a state. The last of the layers is the first to see a request.
pub fn app(
    state: web::Data<State>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<EitherBody<BoxBody>>,
        Error = Error,
        InitError = (),
    >,
> {
    let layers = cors(&state);
    let api = openapi::describe(&state);
    App::new()
        .app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::Malformed(error.to_string()).into()))
        .app_data(state)
        .configure(routes)
        .configure(|config| documentation(config, api))
        .default_service(web::to(|request: HttpRequest| {
            ready(Err::<&str, _>(ApiError::NotFound(request.path().to_owned())))
        }))
        .wrap(from_fn(access))
        .wrap(from_fn(observe))
        .wrap(layers)
}

fn routes(config: &mut web::ServiceConfig) {
    let resource = |path, allow| {
        let refuse = move |request: HttpRequest| {
            let error = ApiError::MethodNotAllowed { method: request.method().to_string(), allow };
            ready(Err::<&str, _>(error))
        };
        web::resource(path).default_service(web::to(refuse))
    };
    let work = |resource: Resource| resource.wrap(from_fn(deadline));
    config
        .service(work(resource("/predict", "GET, POST").get(predict::predict).post(rank::rank)))
        .service(work(resource("/embed", "POST").post(embed::embed)))
        .service(work(resource("/similarity", "POST").post(similarity::similarity)))
        .service(work(resource("/search", "POST").post(search::search)))
        .service(work(resource("/rerank", "POST").post(rerank::rerank)))
        .service(work(resource("/v1/rerank", "POST").post(rerank::v1)))
        .service(work(resource("/v2/rerank", "POST").post(rerank::v2)))
        .service(work(resource("/v1/embeddings", "POST").post(openai::embeddings)))
        .service(work(resource("/", "GET, POST").get(page::index).post(root::root)))
        .service(resource("/info", "GET").get(info::info))
        .service(resource("/health", "GET, HEAD").get(health::health).route(web::head().to(health::health)))
        .service(resource("/metrics", "GET").get(metrics::metrics))
        .configure(page::configure);
}

fn documentation(config: &mut web::ServiceConfig, api: utoipa::openapi::OpenApi) {
    // Without the validator's badge, nothing is asked of another host.
    let ui = Config::from("/openapi.json").validator_url("none");
    config
        .service(SwaggerUi::new("/docs/{_:.*}").config(ui).url("/openapi.json", api))
        .service(web::redirect("/docs", "/docs/"));
}

#[cfg(test)]
mod tests;
