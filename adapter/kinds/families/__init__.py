"""What kinds of one family share: the machinery behind the files of `adapter.kinds`, none of which is a kind."""
