//! Floor 4, the rim towards browsers and apps: the way in, the way out, and our own pages and endpoints.

pub mod room;
pub mod spool;
pub mod request;
pub mod words;
pub mod cors;
pub mod response;
pub mod metrics;
pub mod judge;
pub mod tls;
pub mod health;
pub mod me;
pub mod alias;
pub mod oauth;
pub mod tokens;
pub mod texts;
pub mod page;
pub mod reasons;
pub mod samples;
pub mod assets;
pub mod message;
pub mod failed;
pub mod visit;
pub mod place;
pub mod login;
pub mod account;
pub mod consent;
pub mod apps;
pub mod developer;
pub mod inspector;
pub mod admin;

#[cfg(test)]
mod gallery;

use actix_web::web::ServiceConfig;

use self::place::Place;

/// Our pages, and what they load. `base`: what their paths begin with, empty or the reserved prefix.
pub fn pages(service: &mut ServiceConfig, base: &str) {
    let at = |path: &str| Place::at(format!("{base}{path}"));
    service
        .service(at("/assets/style.css").get(assets::asset))
        .service(at("/assets/script.js").get(assets::asset))
        .service(at("/assets/icon.svg").get(assets::asset))
        .service(at("/login").get(login::form).post(login::submit))
        .service(at("/logout").get(login::confirm_logout).post(login::logout))
        .service(at("/apps").get(apps::show))
        .service(at("/apps/revoke").post(apps::revoke))
        .service(at("/apps/revoke-all").post(apps::revoke_all))
        .service(at("/account").get(account::show))
        .service(at("/account/password").post(account::change_password))
        .service(at("/account/sessions/end").post(account::end_session))
        .service(at("/account/sessions/end-others").post(account::end_other_sessions));
    service
        .service(at("/developer/clients").get(developer::clients::list))
        .service(at("/developer/clients/new").get(developer::client_form::new).post(developer::client_form::create))
        .service(at("/developer/clients/callbacks").get(developer::client_form::check_callbacks))
        .service(at("/developer/clients/show").get(developer::client::show))
        .service(at("/developer/clients/edit").get(developer::client_form::edit).post(developer::client_form::update))
        .service(at("/developer/clients/samples").get(developer::client_samples::show))
        .service(at("/developer/clients/inspector").get(inspector::show).post(inspector::inspect))
        .service(at("/developer/clients/rotate").post(developer::client::rotate_secret))
        .service(at("/developer/clients/token").post(developer::client::make_own_token))
        .service(at("/developer/clients/revoke").post(developer::client::revoke_token))
        .service(at("/developer/clients/disable").post(developer::client::disable))
        .service(at("/developer/clients/enable").post(developer::client::enable))
        .service(at("/developer/clients/delete").post(developer::client::delete))
        .service(at("/developer/keys").get(developer::keys::list))
        .service(at("/developer/keys/new").get(developer::key_form::new).post(developer::key_form::create))
        .service(at("/developer/keys/regenerate").post(developer::keys::regenerate))
        .service(at("/developer/keys/delete").post(developer::keys::delete));
    service
        .service(at("/admin/accounts").get(admin::accounts::list))
        .service(at("/admin/accounts/new").get(admin::account_form::new).post(admin::account_form::create))
        .service(at("/admin/accounts/show").get(admin::account::show).post(admin::account::update))
        .service(at("/admin/accounts/standing").post(admin::account::set_standing))
        .service(at("/admin/accounts/password").post(admin::account::set_password))
        .service(at("/admin/accounts/delete").post(admin::account::delete))
        .service(at("/admin/accounts/key").get(admin::account::new_key).post(admin::account::create_key))
        .service(at("/admin/companies").get(admin::companies::list).post(admin::companies::create))
        .service(at("/admin/clients").get(admin::clients::list).post(admin::clients::set_standing))
        .service(at("/admin/audit").get(admin::audit::show))
        .service(at("/admin/audit/export").get(admin::audit::export))
        .service(at("/admin/system").get(admin::system::show));
}
