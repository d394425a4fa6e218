"""Answers by mail: the words, the decision whether to answer at all, the finished mail, the smarthost."""
