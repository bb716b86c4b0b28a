CREATE TABLE patients (
    id INTEGER PRIMARY KEY,
    record_number TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    born DATE NOT NULL,
    last_seen TIMESTAMP,
    visits_count INTEGER NOT NULL DEFAULT 0 CHECK (visits_count >= 0)
);

CREATE TABLE visits (
    id INTEGER PRIMARY KEY,
    patient_id INTEGER NOT NULL REFERENCES patients (id),
    at TIMESTAMP NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX visits_by_patient ON visits (patient_id, at);
CREATE INDEX visits_by_time ON visits (at);
