"""Run every benchmark and print its tables."""

from tests.benchmarks import book, grading, heads, icl, lens, llc, machine, patching, real_model

print(machine.description())
lens.main()
heads.main()
patching.main()
real_model.main()
llc.main()
icl.main()
grading.main()
book.main()
