// Follows with the tests.
