-- Once, as the superuser of the site's database (psql -v owner_password=... -v farmctl_password=... -f roles.sql):
-- the owner of the tables migrates (farmctl store migrate), the workers' login can write and not delete.
CREATE ROLE farmctl_writer NOLOGIN;
CREATE ROLE farmctl_owner LOGIN PASSWORD :'owner_password' IN ROLE farmctl_writer;
CREATE ROLE farmctl LOGIN PASSWORD :'farmctl_password' IN ROLE farmctl_writer;
CREATE DATABASE farmctl OWNER farmctl_owner;
