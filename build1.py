import sys, os
from Cython.Build import cythonize
from setuptools import Extension, setup
mods=sys.argv[1:]; sys.argv=["setup.py","build_ext","--inplace","-j2"]
D={"language_level":3,"boundscheck":False,"wraparound":False,"cdivision":True,"initializedcheck":False,"embedsignature":True}
A=["-O3","-fno-math-errno","-fno-strict-aliasing","-Wno-unused-function","-Wno-unreachable-code"]
setup(name="x",packages=["gateway","gateway.native"],ext_modules=cythonize([Extension(f"gateway.native.{m}",[f"gateway/native/{m}.pyx"],extra_compile_args=A) for m in mods],compiler_directives=D,quiet=True))
