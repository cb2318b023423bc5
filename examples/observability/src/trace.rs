//! OpenTelemetry on the Rust side: where spans go, and how a request's context comes in and goes on to Python.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

type Error = Box<dyn std::error::Error>;

/// Spans go to stdout, or by OTLP over HTTP where `OTEL_EXPORTER_OTLP_ENDPOINT` says; log lines to stderr.
pub(crate) fn start() -> Result<SdkTracerProvider, Error> {
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("rust").build());
    let provider = if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .build()?;
        provider.with_batch_exporter(exporter).build()
    } else {
        provider
            .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
            .build()
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,httpy::call=debug"));
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().with_writer(std::io::stderr))
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("observability")))
        .try_init()?;
    Ok(provider)
}

/// The span of a request: a child of its `traceparent`, the parent of httpy's.
pub(crate) fn request<B>(request: &http::Request<B>) -> Span {
    let span = tracing::info_span!(
        "request",
        "otel.kind" = "server",
        "http.request.method" = %request.method(),
        "url.path" = request.uri().path(),
    );
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // Fails only where no layer of OpenTelemetry is there.
    drop(span.set_parent(parent));
    span
}

/// The context of the current span as a `traceparent` line, for `httpy_rs.trace_context()`.
pub(crate) fn current(_: &http::request::Parts) -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags().to_u8()
        )
    })
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
