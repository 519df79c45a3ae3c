"""One thread for each test process: the matrices of tests are small, and threads of BLAS that wait for each
other on a busy machine take several times as long as the work."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
