//! The stack: the images that apps are built in and run on.

mod publish;

pub(crate) use publish::publish;
