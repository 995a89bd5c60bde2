//! Plans that a process keeps because it runs the same few statements again and again: planning one of them costs more
//! than running it. The server makes a kept plan anew when a table, a view or a statistic that it rests on has changed.

use crate::pg::identity;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{Oid, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long plans are kept: tables grow, and nobody tells before they are analyzed.
const LIFE: Duration = Duration::from_secs(60);
/// The most plans that are kept.
const MOST: usize = 200;

/// By text and types of the parameters: values of another type must not reach a plan.
type Plans = HashMap<(String, Vec<Oid>), Rc<OwnedPreparedStatement>>;

thread_local! {
    static KEEPS: Cell<bool> = const { Cell::new(false) };
    /// Since when, and which. Not freed when the process ends: the server's memory is gone by then.
    static KEPT: ManuallyDrop<RefCell<(Option<Instant>, Plans)>> = ManuallyDrop::new(RefCell::default());
}

/// From now on this process keeps the plans of its statements, made for whatever values, and never compiles them.
pub fn keep_plans() {
    identity::set_for_session("plan_cache_mode", "force_generic_plan");
    identity::set_for_session("jit", "off");
    KEEPS.set(true);
}

/// The plan of a statement where this process keeps plans.
pub fn kept(client: &SpiClient, sql: &str, args: &[DatumWithOid]) -> SpiResult<Option<Rc<OwnedPreparedStatement>>> {
    if !KEEPS.get() {
        return Ok(None);
    }
    let types: Vec<Oid> = args.iter().map(DatumWithOid::oid).collect();
    let key = (sql.to_owned(), types);
    if let Some(plan) = KEPT.with(|kept| young(&mut kept.borrow_mut()).get(&key).cloned()) {
        return Ok(Some(plan));
    }
    let types: Vec<PgOid> = key.1.iter().map(|oid| PgOid::from(*oid)).collect();
    let plan = Rc::new(client.prepare(sql, &types)?.keep());
    KEPT.with(|kept| kept.borrow_mut().1.insert(key, Rc::clone(&plan)));
    Ok(Some(plan))
}

/// The plans that are not too old and not too many; otherwise none.
fn young((since, plans): &mut (Option<Instant>, Plans)) -> &mut Plans {
    if since.is_none_or(|since| since.elapsed() > LIFE) || plans.len() >= MOST {
        plans.clear();
        *since = Some(Instant::now());
    }
    plans
}
