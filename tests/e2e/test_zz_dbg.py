from test_auth_out import *
def test_x(make, ca):
  try:
    test_not_at_the_smarthost_of_before(make, ca)
  except AssertionError:
    e = make.engines[0]
    for s in make.others:
        if hasattr(s, "sessions"):
            for x in s.sessions: print(x.commands, x.error, x.open)
    for x in e.events(): print({k:v for k,v in x.items() if k not in ("_at", "level", "worker")})
    raise
