//! Apps with the default options, side by side on one interpreter: what crosses the border, and how it fails.

mod api;
mod argument;
mod asgi;
mod debug_page;
mod doctor;
mod engine;
mod executor;
mod failure;
mod hang;
mod hostile;
mod layer;
mod logging;
mod property;
mod reply;
mod request;
mod route;
mod sse;
mod stream;
mod trace_context;
mod websocket;
mod wsgi;
