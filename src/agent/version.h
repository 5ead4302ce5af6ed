// SPDX-License-Identifier: Apache-2.0
// Used by agent. The build defines it from the project's version.
#pragma once

#ifndef GEMEL_VERSION
#error "the build defines GEMEL_VERSION"
#endif
