// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run.h"

int main(int argc, char** argv) { return bonsai::cli::Run(argc, argv); }
