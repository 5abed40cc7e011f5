"""Every guard of the mechanism, the test that fails without it, and a script that takes each away in turn."""
