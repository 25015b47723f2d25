"""The tests, in folders that mirror the source; the others bring what they test with.

`golden` is what the C program answered, `stores` writes small stores, `rigs`
runs real programs, `real` and `interfaces` use them, `bench` measures, `demo` is
`make demo`, `contrib` tries the files of contrib/.
"""
