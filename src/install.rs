//! The parts of the install script, in order; nothing else.

use pgrx::prelude::*;
