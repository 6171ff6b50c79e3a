-- A sum over what a row says, so that a value which has changed on the disk and still reads well is found.
-- Rows from before have none.

ALTER TABLE record ADD COLUMN sum INTEGER;
ALTER TABLE event ADD COLUMN sum INTEGER;
ALTER TABLE evidence ADD COLUMN sum INTEGER;
ALTER TABLE saga ADD COLUMN sum INTEGER;
ALTER TABLE saga_event ADD COLUMN sum INTEGER;
