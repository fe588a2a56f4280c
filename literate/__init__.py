"""Tangle, run, check and convert a literate document such as README.org, without Emacs.

`python -m literate --help` lists the verbs; `python -m literate VERB --help` explains one.

The document is written in a small part of Org. The rest is refused, by `DOCUMENT:LINE: what is
wrong; what to do` and exit status 1. No file is changed unless everything went well.

Each module imports only from those above it:

    alone       a command that waits for its turn, where two makes set up at once
    org         what Org is known, what is refused, where results are
    files       reading, comparing, writing in one step
    tangle      from the document to the program, and what protects edits of that
    child       the process that runs the blocks
    rest        the same for watch: it goes on again from points on the way
    run         running the document: results, figures, progress
    live        what of it can be played with, compiled to JavaScript
    check       what is not what the document makes
    detangle    from the program back to the document
    exercise    checking a reader's answer
    nodes       what prose is made of, in Org as in Markdown
    orgtext     prose in Org, to nodes and back
    markdown    prose in Markdown, to nodes and back
    pieces      a document in pieces, one for each node
    notebook    the document as a notebook, and as Markdown
    fold        from these back to the document
    page        the document as one page, to read and to play with
    watch       all of this while writing, as files are saved
    __main__    the verbs
"""
