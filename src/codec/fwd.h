// Names of the codec room, for headers that only mention them.
#pragma once

namespace km::codec {
class String;
class Quantity;
struct Time;
struct MicroTime;
struct GoDuration;
struct IntOrString;
struct RawJson;
struct TypeInfo;
struct Field;
template <typename T>
class List;
template <typename V>
class Map;
template <typename T>
class Box;
class Value;
}  // namespace km::codec
