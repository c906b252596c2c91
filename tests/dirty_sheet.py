"""A small rate sheet with the dirt of real ones, line ends included."""

DIRTY = """\
Country,Code,Initial Rate per Minute,Increment Rate Per Minute,Time Of Day
Austria,43,0.05,0.05,peak
Austria-Mobile,43664,0.1,0.1,peak
"Austria,Vienna",431,0.045,0.045,peak
Austria Emergency Numbers,5.41144E+11,0.04,0.04,peak
Inbound On-Net To On-Net,*1003,0,0,peak
China,86,Blocked,Blocked,peak
Antilles-Mobile,59951,Blocked,0.2,peak
Directory Assistance,4311,0.33,0.1,peak

Germany,49,0.02,0.02,peak
Germany,49,0.02,0.02,peak
Hungary,36,0.03,0.03,peak
Hungary,36,0.04,0.04,peak
Italy,39,"0,03","0,03",peak
Spain,34,,,peak
France, Paris,331,0.02,0.02,peak
Poland,48,1.000000001,1.000000001,peak
Latvia,371,-0.1,-0.1,peak
Estonia,37201234567890123,0.1,0.1,peak
Two in one,4470-4479,0.1,0.1,peak
,32,.05,0.050,peak
"Norway,47,0.1,0.1,peak
Sweden,+46,0.1,0.1,peak
Denmark,0045,0.1,0.1,peak
Iceland,354,0.1
""".replace("\n", "\r\n").encode()
