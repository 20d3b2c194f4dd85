"""Run every benchmark and print its tables."""

from tests.benchmarks import (
    attribution,
    book,
    fitted_lenses,
    grading,
    heads,
    icl,
    lens,
    llc,
    machine,
    patching,
    real_model,
)

print(machine.description())
lens.main()
heads.main()
patching.main()
patching.real()
real_model.main()
attribution.main()
fitted_lenses.main()
llc.main()
icl.main()
grading.main()
book.main()
