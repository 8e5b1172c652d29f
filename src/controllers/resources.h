// The kinds of objects that can be deleted.
#pragma once

#include <vector>

#include "api/resource.h"

namespace km::controllers {

// Built-in resources with the verbs delete, list and watch: of each the preferred stable version.
std::vector<const api::Resource*> deletableBuiltins();
bool hasVerb(const api::Resource& r, std::string_view verb);

}  // namespace km::controllers
