//! Proves that a read-only role may not write; the guard of a read-only grant is the role, never the transaction.

use sqlx::postgres::PgConnection;

use super::{error, simple};
use crate::driver::{Failure, FailureKind};

/// The first thing that the role, or any role that it may become, could write with: what it is, and the SQL that takes it away.
///
/// Temporary tables are left out: they end with the session. So is `pg_settings`, which everybody may update and which only changes the
/// session. Functions of the schema's owner that run with the owner's rights are the owner's business.
const MAY_WRITE: &str = "WITH roles AS MATERIALIZED ( \
      SELECT r.* FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')) \
    SELECT * FROM ( \
    SELECT 'the attribute CREATEROLE', format('ALTER ROLE %I NOCREATEROLE', rolname) FROM roles WHERE rolcreaterole \
    UNION ALL \
    SELECT 'the attribute CREATEDB', format('ALTER ROLE %I NOCREATEDB', rolname) FROM roles WHERE rolcreatedb \
    UNION ALL \
    SELECT format('membership in %I', rolname), format('REVOKE %I FROM %I', rolname, current_user) FROM roles \
     WHERE rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program') \
    UNION ALL \
    SELECT format('ownership of %s', c.oid::regclass), format('ALTER TABLE %s OWNER TO …', c.oid::regclass) \
      FROM roles r JOIN pg_catalog.pg_class c ON c.relowner = r.oid \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' \
    UNION ALL \
    SELECT format('ownership of schema %I', n.nspname), format('ALTER SCHEMA %I OWNER TO …', n.nspname) \
      FROM roles r JOIN pg_catalog.pg_namespace n ON n.nspowner = r.oid \
    UNION ALL \
    SELECT format('%s on %s', p.name, c.oid::regclass), \
           format('REVOKE %s ON %s FROM PUBLIC, %I', p.name, c.oid::regclass, r.rolname) \
      FROM pg_catalog.pg_class c, roles r, (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) p(name) \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND c.oid <> 'pg_catalog.pg_settings'::regclass \
       AND (pg_catalog.has_table_privilege(r.oid, c.oid, p.name) \
            OR p.name IN ('INSERT', 'UPDATE') AND pg_catalog.has_any_column_privilege(r.oid, c.oid, p.name)) \
    UNION ALL \
    SELECT format('%s on sequence %s', p.name, c.oid::regclass), \
           format('REVOKE %s ON SEQUENCE %s FROM PUBLIC, %I', p.name, c.oid::regclass, r.rolname) \
      FROM pg_catalog.pg_class c, roles r, (VALUES ('USAGE'), ('UPDATE')) p(name) \
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND pg_catalog.has_sequence_privilege(r.oid, c.oid, p.name) \
    UNION ALL \
    SELECT format('CREATE on schema %I', n.nspname), format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', n.nspname, r.rolname) \
      FROM pg_catalog.pg_namespace n, roles r \
     WHERE n.nspname !~ '^pg_(temp|toast)' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') \
    UNION ALL \
    SELECT 'CREATE on the database', format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I', current_database(), r.rolname) \
      FROM roles r WHERE pg_catalog.has_database_privilege(r.oid, current_database(), 'CREATE') \
    UNION ALL \
    SELECT 'EXECUTE on ' || min(p.proname), \
           format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC, %I', string_agg(p.oid::regprocedure::text, ', '), min(r.rolname)) \
      FROM pg_catalog.pg_proc p, roles r \
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE') \
       AND p.proname IN ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_put', 'lo_import', 'lo_unlink', 'lowrite', 'lo_truncate', \
                         'lo_truncate64') \
    HAVING count(*) > 0 \
    ) found LIMIT 1";

/// Refuses the session when its role may write.
///
/// # Errors
/// [`FailureKind::Denied`] with the first privilege that was found and the SQL that revokes it.
pub(super) async fn check_read_only(link: &mut PgConnection) -> Result<(), Failure> {
    let rows = simple::run(link, MAY_WRITE).await.map_err(error::failure)?;
    let Some(found) = rows.first() else { return Ok(()) };
    let text = |column: usize| found.get(column).and_then(Option::as_deref).unwrap_or("?");
    // Whatever the name, it is the role's own word for itself, and no secret.
    let role = simple::run(link, "SELECT current_user").await.map_err(error::failure)?;
    let role = role.first().and_then(|row| row.first()?.as_deref()).unwrap_or("?");
    let message = format!("read-only access needs a role that cannot write, but role `{role}` has {}; try: {}", text(0), text(1));
    Err(Failure::new(FailureKind::Denied, message).lost())
}
