-- A job that came here with the tables of another server does not start by
-- itself; jobs.retry makes it one of this server's.
SELECT jobs.run('INSERT INTO elsewhere VALUES (1)', title => 'From elsewhere') AS job \gset
SELECT jobs.wait(:job);
CREATE TABLE elsewhere (a integer);
UPDATE jobs.history SET origin = 0 WHERE id = :job;
SELECT jobs.retry(:job);
SELECT jobs.wait(:job, '1 minute');
SELECT count(*) FROM elsewhere;
DROP TABLE elsewhere;
