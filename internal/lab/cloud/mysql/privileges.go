package mysql

// What Cloud SQL gives to users, from Google's "About MySQL users" (sections
// "MySQL 8.0 user privileges (cloudsqlsuperuser)" and "MySQL 8.4 …"): a user made
// through the API holds the role cloudsqlsuperuser and nothing else ("GRANT USAGE
// ON *.*" and "GRANT `cloudsqlsuperuser`@`%` TO …"), which is every static
// privilege but FILE and SUPER, and the dynamic ones APPLICATION_PASSWORD_ADMIN,
// CONNECTION_ADMIN, ROLE_ADMIN, SET_USER_ID (SET_ANY_DEFINER since 8.4) and
// XA_RECOVER_ADMIN; the system schemas are kept from it by partial revokes, which
// is what the error that people report shows ("Error 3879 (HY000): Access denied
// for AuthId `root`@`%` to database 'mysql'", petoju/terraform-provider-mysql
// issue 250).
//
// Where the sources are not exact, the lab gives less: no SHUTDOWN, no CREATE
// TABLESPACE. That the role's privileges carry GRANT OPTION is taken from what
// people do with it (GRANT ALL ON app.* TO app as root).
const bootstrapSQL = `
CREATE USER cloudsqladmin@localhost IDENTIFIED BY RANDOM PASSWORD;
GRANT ALL ON *.* TO cloudsqladmin@localhost WITH GRANT OPTION;
CREATE ROLE cloudsqlsuperuser@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES,
	CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW,
	CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE ROLE, DROP ROLE
	ON *.* TO cloudsqlsuperuser@'%' WITH GRANT OPTION;
GRANT APPLICATION_PASSWORD_ADMIN, CONNECTION_ADMIN, ROLE_ADMIN, SET_ANY_DEFINER, XA_RECOVER_ADMIN
	ON *.* TO cloudsqlsuperuser@'%' WITH GRANT OPTION;
REVOKE INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES,
	CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER ON mysql.* FROM cloudsqlsuperuser@'%';
REVOKE INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES,
	CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER ON sys.* FROM cloudsqlsuperuser@'%';
DROP USER root@localhost;
`
