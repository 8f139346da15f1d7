def tear(*_): return 0
def flip(*_): return None
