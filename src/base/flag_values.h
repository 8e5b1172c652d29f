// The values behind FlagSet::add: bound to a variable, parsed with Go's rules and wordings. For flags.cc.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/flags.h"

namespace km::flag_values {

std::unique_ptr<FlagValue> boolean(bool* target);
std::unique_ptr<FlagValue> integer(int* target, std::string type);  // "int" and "int32"
std::unique_ptr<FlagValue> integer(int64_t* target);
std::unique_ptr<FlagValue> integer(uint32_t* target);
std::unique_ptr<FlagValue> floating(double* target);
std::unique_ptr<FlagValue> floating(float* target);
std::unique_ptr<FlagValue> ip(std::string* target);
std::unique_ptr<FlagValue> intSlice(std::vector<int32_t>* target);
std::unique_ptr<FlagValue> text(std::string* target);
std::unique_ptr<FlagValue> duration(Duration* target);
std::unique_ptr<FlagValue> slice(std::vector<std::string>* target);
std::unique_ptr<FlagValue> array(std::vector<std::string>* target);
std::unique_ptr<FlagValue> stringMap(std::map<std::string, std::string>* target);
std::unique_ptr<FlagValue> boolMap(std::map<std::string, bool>* target);
std::unique_ptr<FlagValue> function(std::function<Status(std::string_view)> set, std::string type);

}  // namespace km::flag_values
