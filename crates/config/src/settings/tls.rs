//! Settings: encryption. None of it is built yet; what asks for certain encryption stops the start.

use super::value::{Shape, Value};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 16] = [
    new("client_tls_sslmode", "disable", Value::Unread(Shape::Word(SSL_MODES)))
        .status(Status::Refused(&["require", "verify-ca", "verify-full"]))
        .says("encryption towards clients", CLIENT_MODE),
    new("client_tls_ca_file", "", Value::Unread(Shape::Text)).says("who signs clients' certificates", ""),
    new("client_tls_cert_file", "", Value::Unread(Shape::Text)).says("certificate shown to clients", ""),
    new("client_tls_key_file", "", Value::Unread(Shape::Text)).says("key of that certificate", ""),
    new("client_tls_protocols", "secure", Value::Unread(Shape::Text))
        .says("TLS versions towards clients", ""),
    new("client_tls_ciphers", "default", Value::Unread(Shape::Text))
        .says("ciphers up to TLS 1.2 towards clients", ""),
    new("client_tls13_ciphers", "", Value::Unread(Shape::Text))
        .unset()
        .since("PgBouncer 1.25")
        .says("ciphers of TLS 1.3 towards clients", ""),
    new("client_tls_dheparams", "auto", Value::Unread(Shape::Text)).says("Diffie-Hellman parameters", ""),
    new("client_tls_ecdhcurve", "auto", Value::Unread(Shape::Text)).says("elliptic curve", ""),
    new("server_tls_sslmode", "prefer", Value::Unread(Shape::Word(SSL_MODES)))
        .status(Status::Refused(&["require", "verify-ca", "verify-full"]))
        .says("encryption towards PostgreSQL", SERVER_MODE),
    new("server_tls_ca_file", "", Value::Unread(Shape::Text)).says("who signs PostgreSQL's certificate", ""),
    new("server_tls_cert_file", "", Value::Unread(Shape::Text)).says("certificate shown to PostgreSQL", ""),
    new("server_tls_key_file", "", Value::Unread(Shape::Text)).says("key of that certificate", ""),
    new("server_tls_protocols", "secure", Value::Unread(Shape::Text))
        .says("TLS versions towards PostgreSQL", ""),
    new("server_tls_ciphers", "default", Value::Unread(Shape::Text))
        .says("ciphers up to TLS 1.2 towards PostgreSQL", ""),
    new("server_tls13_ciphers", "", Value::Unread(Shape::Text))
        .unset()
        .since("PgBouncer 1.25")
        .says("ciphers of TLS 1.3 towards PostgreSQL", ""),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Tls, name, default, value).status(Status::NotBuilt).since("PgBouncer 1.7")
}

const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const CLIENT_MODE: &str = "Clients that ask for TLS are told there is none, so `allow` and `prefer` mean `disable`. \
                           `require`, `verify-ca` and `verify-full` stop the start.";

const SERVER_MODE: &str = "Server connections are never encrypted, so `allow` and `prefer` mean `disable`. \
                           `require`, `verify-ca` and `verify-full` stop the start.";
