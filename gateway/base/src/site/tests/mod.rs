//! What a site's folder must hold and keep, whatever commands do to it.

mod certificates;
mod doors;
mod folder;
mod tokens;
