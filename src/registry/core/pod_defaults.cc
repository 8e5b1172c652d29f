#include "registry/defaults.h"
namespace km::registry {
std::span<const TypeDefault> podDefaults() { return {}; }
std::span<const TypeDefault> workloadDefaults() { return {}; }
}
