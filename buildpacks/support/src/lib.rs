//! What our buildpacks share.
