-- Forms that were carried out, each by the value that its page gave it: none is carried out twice, on whichever node.
CREATE TABLE sent_forms (
    session TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    form TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (session, form)
);
