"""What makes tests the same on a busy machine.

One thread for each test process: the matrices of tests are small, and threads of BLAS that wait for each
other take several times as long as the work. No property test fails because drawing its examples took long.
"""

import os

from hypothesis import HealthCheck, settings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
