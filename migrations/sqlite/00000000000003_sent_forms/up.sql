-- Forms that were carried out, each by the value that its page gave it: none is carried out twice, on whichever node.
CREATE TABLE sent_forms (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    form TEXT NOT NULL,
    PRIMARY KEY (session, form)
);
